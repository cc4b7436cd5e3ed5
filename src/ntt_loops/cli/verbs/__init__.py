"""The verbs, one each."""
