package handlers

import (
	"context"
	"slices"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// ListSigningKeys lists all keys.
func (a apiServer) ListSigningKeys(ctx context.Context, _ api.ListSigningKeysRequestObject) (api.ListSigningKeysResponseObject, error) {
	list, err := a.signingKeys(ctx)
	return api.ListSigningKeys200JSONResponse(list), err
}

// RotateSigningKeys publishes the next keys, or replaces all at once.
func (a apiServer) RotateSigningKeys(ctx context.Context, r api.RotateSigningKeysRequestObject) (api.RotateSigningKeysResponseObject, error) {
	algs, atOnce := tokenAlgs, false
	if r.Body != nil {
		atOnce = value(r.Body.AtOnce)
		if r.Body.Algorithms != nil {
			algs = nil
			for _, alg := range *r.Body.Algorithms {
				algs = append(algs, string(alg))
			}
		}
	}
	var err error
	if by := callOf(ctx).by(); atOnce {
		err = a.provider.Keys.Replace(ctx, algs, by, time.Now())
	} else {
		_, err = a.provider.Keys.Rotate(ctx, algs, by, time.Now())
	}
	if err != nil {
		return nil, err
	}
	list, err := a.signingKeys(ctx)
	return api.RotateSigningKeys200JSONResponse(list), err
}

func (a apiServer) signingKeys(ctx context.Context) (api.SigningKeyList, error) {
	list := api.SigningKeyList{Data: []api.SigningKey{}}
	rows, err := a.store.SigningKeys(ctx)
	if err != nil {
		return list, err
	}
	for _, k := range provider.KeyStatuses(rows, a.config.LongestToken, time.Now()) {
		list.Data = append(list.Data, api.SigningKey{
			ID: k.ID, Purpose: api.SigningKeyPurpose(k.Purpose), Alg: api.SigningKeyAlg(k.Alg), State: api.SigningKeyState(k.State),
			CreatedAt: k.CreatedAt.Time(), SignsFrom: k.ActivatesAt.Time(), RetiredAt: orNull(k.RetiredAt),
		})
	}
	slices.Reverse(list.Data) // the newest first
	return list, nil
}

// GetSettings shows what administrators decide while the product runs.
func (a apiServer) GetSettings(ctx context.Context, _ api.GetSettingsRequestObject) (api.GetSettingsResponseObject, error) {
	s, err := a.currentSettings(ctx)
	return api.GetSettings200JSONResponse(s), err
}

// UpdateSettings changes it.
func (a apiServer) UpdateSettings(ctx context.Context, r api.UpdateSettingsRequestObject) (api.UpdateSettingsResponseObject, error) {
	change := provider.NewValues{ImpersonationEnabled: r.Body.ImpersonationEnabled, Support: (*storage.SupportRule)(r.Body.SupportAccess)}
	if err := provider.NewSettings(a.store).Change(ctx, change, callOf(ctx).by(), time.Now()); err != nil {
		return nil, err
	}
	s, err := a.currentSettings(ctx)
	return api.UpdateSettings200JSONResponse(s), err
}

func (a apiServer) currentSettings(ctx context.Context) (api.Settings, error) {
	s, err := a.store.ImpersonationSettings(ctx)
	return api.Settings{ImpersonationEnabled: s.Enabled, SupportAccess: api.SupportRule(s.Support)}, err
}
