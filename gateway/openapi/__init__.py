"""The HTTP interface described for programs, as OpenAPI 3.2 (https://spec.openapis.org/oas/v3.2.0.html).

* `document`: the paths, put together by hand; what a body may be is said by the models that read it.
* `answers`: what answers look like.
"""
