"""Who may call the gateway, how often, and from where.

* `exposure`: whether an address can be reached from elsewhere, which needs keys.
* `keys_file`: API keys by name, as they lie in a file; `callers`: whose key a request shows.
* `limits`: how many completions each caller may begin, and have running.
* `hosts`: which names and origins HTTP answers; `gate`: all of that before an ASGI application; `interceptor`: the same
  before gRPC.
* `connections`: HTTP connections whose clients take their time, or send too much.
"""
