package templates

func deliverySamples() map[string]any { return map[string]any{} }
