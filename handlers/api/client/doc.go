// Package client calls the management API of Understudy. It is generated from the API's
// document and needs nothing else of this module.
//
//	key := func(_ context.Context, r *http.Request) error {
//		r.Header.Set("Authorization", "Bearer "+os.Getenv("UNDERSTUDY_API_KEY"))
//		return nil
//	}
//	c, err := client.NewClientWithResponses("https://id.example/api/v1", client.WithRequestEditorFn(key))
//	users, err := c.ListUsersWithResponse(ctx, &client.ListUsersParams{})
//
// Each answer has the field of its status, JSON200 or the like; ApplicationproblemJSONDefault
// is what went wrong.
package client
