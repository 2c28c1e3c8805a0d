r"""The strings that a schema's `format` asks for, as patterns; `format` names that are not here say nothing.

Each pattern allows less than its standard does, and only what common readers take: dates are in the calendar, times
have an offset and at most microseconds, addresses have no comments. Sources: RFC 3339 for dates, times and durations,
RFC 5321 for mailboxes, RFC 1123 for host names, RFC 4291 for IPv6, RFC 3986 for URIs, RFC 9562 for UUIDs.
"""

_FOURS = "(?:0[48]|[2468][048]|[13579][26])"  # divisible by 4, but for 00
_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LEAP_YEAR = f"(?:[0-9]{{2}}{_FOURS}|{_FOURS}00)"
_DATE = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_CLOCK}:[0-5][0-9](?:\.[0-9]{{1,6}})?(?:Z|[+\-]{_CLOCK})"
_DAYS = "(?:[0-9]{1,3}Y(?:[0-9]{1,3}M(?:[0-9]{1,4}D)?)?|[0-9]{1,3}M(?:[0-9]{1,4}D)?|[0-9]{1,4}D)"
_HOURS = "T(?:[0-9]{1,4}H(?:[0-9]{1,4}M(?:[0-9]{1,4}S)?)?|[0-9]{1,4}M(?:[0-9]{1,4}S)?|[0-9]{1,4}S)"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_BYTE}(?:\.{_BYTE}){{3}}"
_HEX4 = "[0-9A-Fa-f]{1,4}"
_IPV6 = "|".join(
    [
        f"{_HEX4}(?::{_HEX4}){{7}}",
        *(f"(?:{_HEX4}(?::{_HEX4}){{0,{before}}})?::(?:{_HEX4}(?::{_HEX4}){{0,{5 - before}}})?" for before in range(6)),
    ]
)
_WORD = "[A-Za-z0-9]{1,12}"
_LABEL = f"{_WORD}(?:-{_WORD}){{0,2}}"
_NAME = rf"(?:{_LABEL}\.){{0,4}}[A-Za-z]{_LABEL}"
_EMAIL = rf"{_WORD}(?:[.+_\-]{_WORD}){{0,3}}@(?:{_LABEL}\.){{1,4}}[A-Za-z]{{2,12}}"
_PATH_CHARACTER = r"(?:[A-Za-z0-9\-._~!$'()*+,;=:@]|%[0-9A-Fa-f]{2})"
_REST = rf"(?:\?(?:{_PATH_CHARACTER}|[/?])*)?(?:\#(?:{_PATH_CHARACTER}|[/?])*)?"
_URI = (
    rf"[a-z][a-z0-9]{{0,11}}://(?:{_NAME}|{_IPV4})(?::[1-9][0-9]{{0,3}})?(?:/{_PATH_CHARACTER}*)*{_REST}"
    rf"|(?:mailto|tel|urn|doi|news):[A-Za-z0-9]{_PATH_CHARACTER}*"
)

PATTERNS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": f"P(?:[0-9]{{1,4}}W|{_DAYS}(?:{_HOURS})?|{_HOURS})",
    "email": _EMAIL,
    "hostname": _NAME,
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "uri": _URI,
    "uuid": "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}
