import pytest

from tool_service.tools.http_get.html_child import text_of
from tool_service.tools.http_get.page import Page


def characters(body: bytes, content_type: str = "text/plain") -> str:
    return Page("http://a/", content_type, body, cut=False).characters


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("é".encode(), "text/plain", "é"),
        ("é".encode("latin-1"), "text/plain; charset=ISO-8859-1", "é"),
        ("é".encode("latin-1"), "text/plain", "é"),
        (b"\x80", "text/plain; charset=iso-8859-1", "€"),
        ("é".encode("utf-16"), "text/plain", "é"),
        ("\ufeffé".encode(), "text/plain; charset=latin-1", "é"),
        ("привет".encode("koi8-r"), 'text/plain; charset="koi8-r"', "привет"),
        ("日本".encode("shift_jis"), "text/html; charset=Shift_JIS", "日本"),
        (b'<meta charset="windows-1251">' + "п".encode("cp1251"), "text/html", '<meta charset="windows-1251">п'),
        (b"<meta charset=utf-8>\xc3\xa9", "text/html; charset=nonsense", "<meta charset=utf-8>é"),
        (b"abc", "text/plain; charset=punycode", "abc"),
        (b"61", "text/plain; charset=hex", "61"),
        (b"abc", "text/plain; charset=undefined", "abc"),
        (b"ab\xff", "text/plain; charset=utf-16", "扡\ufffd"),
        (b"a", "text/plain; charset*=''x\xff".encode().decode("latin-1"), "a"),
    ],
)
def test_characters_are_decoded_by_mark_header_and_meta(body, content_type, text):
    assert characters(body, content_type) == text


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("Text/HTML; charset=utf-8", b"", "text/html"),
        ("", b" <!DOCTYPE html><p>", "text/html"),
        ("nonsense", b"abc", "text/plain"),
        ("", b"\x89PNG\0", "application/octet-stream"),
    ],
)
def test_the_kind_is_what_the_server_says_or_the_body_shows(content_type, body, kind):
    assert Page("http://a/", content_type, body, cut=False).media_type == kind


HTML = b"""<!DOCTYPE html><html><head><title> A
  page </title><style>p { x }</style></head><body><h1>Big <b>news</b></h1><!-- no --><p>One <i>two</i>three
 four<br>five<script>bad()</script><noscript>bad</noscript><ul><li>a<li><p>b</p></ul><pre>def f():
    return  1</pre><table><tr><td>1<td>2</tr></table><template>bad</template><svg><text>bad</text></svg>
<a href="/x#y">The <b>link</b></a> <a href=mailto:x@y>mail</a> <a href="javascript:x">js</a> <a href="#top">top</a>
<a href="http://[">odd</a> &lt;end&gt;</body></html>"""


def test_html_becomes_title_text_and_links():
    assert text_of(HTML, "http://h/a/") == (
        "A page\n\n# Big news\nOne twothree four\nfive\n- a\nb\ndef f():\n    return  1\n1 | 2\n"
        "The link mail js top odd <end>\n\nLinks:\n- The link: http://h/x"
    )


@pytest.mark.parametrize("html", [b"", b"<p>", b"plain", b"\0\xff", b"<pre>", b"<p>a<pre> b", b"<frameset>"])
def test_odd_html_is_read_too(html):
    assert isinstance(text_of(html, "http://h/"), str)


def test_html_that_nests_deep_is_walked_without_recursion():
    assert text_of(b"<i>" * 5000 + b"deep", "http://h/") == "deep"
