"""The browser console: `server.py` answers for it beside the API, `static/` is what the browser gets."""
