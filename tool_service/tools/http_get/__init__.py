"""`http_get`: fetches a page, connected before the URL is complete."""
