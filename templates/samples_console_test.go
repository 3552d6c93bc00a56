package templates

func consoleSamples() map[string]any { return map[string]any{} }
