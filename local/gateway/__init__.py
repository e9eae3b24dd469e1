"""The deployed REST API served on loopback, as API Gateway serves it.

`api` reads the deployment back, `policy` and `tokens` say who may come in, `event` makes what a function gets, `answer`
what the caller gets, `server` holds the sockets. Held against recordings of AWS by tests/integration.
"""
