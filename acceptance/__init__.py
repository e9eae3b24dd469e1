"""What a team runs on its first day: `python -m acceptance` turns what this project assumes into what it knows.

Each row of rows.toml is one question about AWS or the provider; it ends confirmed, contradicted or not seen.
"""
