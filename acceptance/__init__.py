"""`python -m acceptance` turns what this project assumes into what it knows, by a question a row of rows.toml."""
