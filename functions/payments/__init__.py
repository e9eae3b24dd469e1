"""The domain: what a void is, how it lives, and one file for each outside system.

`voids` (submit, settle) and `webhooks` (receive) speak to the provider, the table and the secret through `provider`,
`store` and `secret`. `operations`, `messages`, `signatures` and `exact_json` are pure: no clock, no network.
"""
