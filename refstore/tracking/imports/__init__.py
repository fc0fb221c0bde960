"""References that other tools recorded, as versions: no data is touched and no request is made."""
