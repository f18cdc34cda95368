"""What an answer may look like: schemas, grammars and calls as masks over tokens."""
