"""Reading the embedded database: SQL in, records out; read-only connections, each in one snapshot."""
