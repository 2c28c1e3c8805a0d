"""OpenAI's HTTP interface over the completions of the gateway.

    request (pydantic) ─▶ CompleteRequest ─▶ Completions.run ─▶ events ─▶ chunks, or one answer

What a client may send is said by `chat_request.py`, field by field: what is not supported is refused with its name, and
never ignored. Shapes are those of https://platform.openai.com/docs/api-reference/chat.
"""
