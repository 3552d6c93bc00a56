package provider

import (
	"slices"
	"strings"

	"github.com/ory/fosite"
)

// responseTypes are what a client can be registered for (OAuth 2.0 Multiple
// Response Type Encoding Practices 1.0), their words in alphabetical order.
// "token" alone signs nobody in, and is not offered (RFC 9700 section 2.1.2).
var responseTypes = []string{
	responseTypeCode, "id_token", "id_token token", "code id_token", "code token", "code id_token token",
}

const responseTypeCode = "code"

// canonicalResponseType puts the words of a response type in order, which has no
// meaning (RFC 6749 section 3.1.1).
func canonicalResponseType(responseType string) string {
	words := strings.Split(responseType, " ")
	slices.Sort(words)
	return strings.Join(words, " ")
}

// mayRespond reports whether the client is registered for a response type.
func mayRespond(registered []string, responseType string) bool {
	asked := canonicalResponseType(responseType)
	return slices.Contains(responseTypes, asked) && slices.ContainsFunc(registered, func(r string) bool {
		return canonicalResponseType(r) == asked
	})
}

// gives reports whether a response type has a word: byte by byte, where fosite
// takes "CODE" for code (fosite #21).
func gives(responseType, word string) bool {
	return slices.Contains(strings.Split(responseType, " "), word)
}

// responseMode returns how a request is answered, good or bad: as it asks for,
// except that what holds a token never gets into a query (OAuth 2.0 Multiple
// Response Type Encoding Practices 1.0 section 5).
func responseMode(responseType, asked string) fosite.ResponseModeType {
	frontChannel := gives(responseType, "token") || gives(responseType, "id_token")
	switch mode := fosite.ResponseModeType(asked); {
	case mode == fosite.ResponseModeFormPost:
		return mode
	case mode == fosite.ResponseModeFragment, frontChannel:
		return fosite.ResponseModeFragment
	}
	return fosite.ResponseModeQuery
}
