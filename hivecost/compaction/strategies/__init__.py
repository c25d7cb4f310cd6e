"""How a conversation is made smaller, one file for each way."""
