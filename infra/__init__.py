"""What AWS must contain. Environments differ only in `environments.py`; nothing here imports `functions/`."""
