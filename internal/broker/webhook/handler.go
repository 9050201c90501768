package webhook

import (
	"context"
	"errors"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
)

// Handler runs the invocations of services with a webhook.
func Handler(store *broker.Store, client *Client) broker.Handler {
	return func(ctx context.Context, d broker.Delivery) ([]byte, error) {
		hook, err := store.SecretWebhook(ctx, d.Service)
		switch {
		case errors.Is(err, kvdb.ErrNotFound):
			return nil, errors.New("the webhook was deleted meanwhile")
		case err != nil:
			return nil, errors.New("the webhook could not be read: " + kvdb.Sentence(err))
		case hook.Broken != "":
			return nil, errors.New("the webhook can't be used. " + hook.Broken)
		}
		result, err := client.Do(ctx, Call{
			URL: hook.URL, Secret: hook.Secret, AllowPrivate: hook.AllowPrivate, Timeout: hook.Timeout,
			Service: d.Service, CID: d.CID, InReplyTo: d.InReplyTo, Attempt: d.Attempt, Body: d.Payload,
		})
		if answer, ok := errors.AsType[*AnswerError](err); ok {
			return nil, &broker.PermanentError{Err: answer}
		}
		if status, ok := errors.AsType[*StatusError](err); ok && status.RetryAfter > 0 {
			return nil, &broker.RetryAfterError{After: status.RetryAfter, Err: status}
		}
		return result, err
	}
}
