"""What stays of an incident: its folder, the record, redaction, the executed notebook, and the report."""
