"""Between text and tokens: chat template, detokenisation, stops, grammars."""
