"""The deployed REST API served on loopback, as API Gateway serves it.

`api` reads the deployment back and says with `tokens` who may come in, `proxy` makes what a function and a caller get,
`server` holds the sockets. What a caller would notice is held against recordings of AWS by tests/integration.
"""
