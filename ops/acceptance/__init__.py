"""What a team runs on its first day: `python -m ops.acceptance` turns what this project assumes into what it knows.

Each row is one question about AWS or about the provider, and ends confirmed, contradicted or not seen, with evidence.
Promises to ask before it acts, to void only the holds that it is given, and to take back all else that it made.
"""
