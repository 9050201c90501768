package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/brokerview"
	"webadmin/web/templates/ui"
)

// webhookPages are how administrators manage the webhooks.
type webhookPages struct{ *site }

func (p *webhookPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"settings.webhooks":        p.list,
		"settings.webhooks.create": p.create,
		"settings.webhook":         p.show,
		"settings.webhook.save":    p.save,
		"settings.webhook.delete":  p.delete,
	}
}

func webhookObject(service string) string { return "webhook " + service }

// list serves GET /settings/webhooks; the query may name the service of a new one.
func (p *webhookPages) list(c echo.Context) error {
	f := form{values("service", query(c, "service"))}
	return p.renderList(c, http.StatusOK, p.form(f, nil), nil)
}

// renderList shows the list, with the form for a new one.
func (p *webhookPages) renderList(c echo.Context, status int, fresh brokerview.WebhookForm, secret *brokerview.WebhookSecret) error {
	hooks, err := p.Broker.Webhooks(c.Request().Context())
	if err != nil {
		return err
	}
	fresh.Action, fresh.Fresh = p.url("settings.webhooks.create"), true
	page := brokerview.WebhooksPage{Page: p.page(c, "Webhooks", p.crumbs("settings.webhooks")...), New: &fresh, Secret: secret}
	page.Page.Path = p.url("settings.webhooks")
	for _, w := range hooks {
		page.Rows = append(page.Rows, p.row(w))
	}
	return render(c, status, brokerview.Webhooks(page))
}

func (p *webhookPages) row(w broker.Webhook) brokerview.WebhookRow {
	return brokerview.WebhookRow{
		Service: brokerview.Link{Text: w.Service, URL: p.url("broker.service", w.Service)}, URL: w.URL,
		Private: w.AllowPrivate, Timeout: typedSpan(w.Timeout),
		At: w.UpdatedAt, By: w.UpdatedBy, Broken: w.Broken, Edit: p.url("settings.webhook", w.Service),
		Try: p.url("broker.invoke", values("service", w.Service)),
	}
}

// form has the fields of a webhook with what was typed.
func (p *webhookPages) form(f form, wrong faults) brokerview.WebhookForm {
	in := func(x ui.FieldProps) ui.FieldProps { return field(f, wrong, "webhook-"+x.Name, x) }
	v := brokerview.WebhookForm{
		Version: f.word("version"), Renew: f.has("renew"), Private: f.has("private"),
		Service: in(ui.FieldProps{Name: "service", Label: "Service", Mono: true, Required: true, MaxLength: 200}),
		URL: in(ui.FieldProps{Name: "url", Label: "Endpoint", Mono: true, Required: true, Placeholder: "https://",
			Hint: "Gets each invocation as a POST; certificates are checked, redirects are not followed."}),
		Timeout: in(ui.FieldProps{Name: "timeout", Label: "Timeout", Placeholder: typedSpan(broker.WebhookTimeout),
			Hint: "For an answer; at most " + typedSpan(broker.MaxWebhookTimeout)}),
		Secret: in(ui.FieldProps{Name: "secret", Label: "Secret", Type: "password", Autocomplete: "new-password",
			Hint: "Signs each request. Empty: one is made, and shown once."}),
	}
	return v
}

// filled are the fields of a webhook as it is.
func filled(w broker.Webhook) form {
	f := form{values("service", w.Service, "url", w.URL, "timeout", typedSpan(w.Timeout), "version", strconv.FormatInt(w.Version, 10))}
	if w.AllowPrivate {
		f.values.Set("private", "on")
	}
	return f
}

// readWebhook reads the form of a webhook.
func readWebhook(c echo.Context, f form, service string) (broker.Webhook, error) {
	w := broker.Webhook{Service: service, URL: f.word("url"), Secret: f.word("secret"), AllowPrivate: f.has("private"), UpdatedBy: actor(c)}
	w.Version, _ = strconv.ParseInt(f.word("version"), 10, 64)
	if f.has("renew") && w.Secret == "" {
		w.Secret = broker.NewWebhookSecret()
	}
	if typed := f.word("timeout"); typed != "" {
		d, err := readSpan("timeout", typed)
		if err != nil || d < time.Millisecond {
			return w, kvdb.Invalid("timeout", "must be a time such as 30 s or 2 min")
		}
		w.Timeout = d
	}
	return w, nil
}

// create serves POST /settings/webhooks with the fields service, url, timeout, secret and private. The answer is the only page that ever
// shows a secret that was made, so it is no redirect.
func (p *webhookPages) create(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	f.values.Set("version", "0")
	w, err := readWebhook(c, f, f.word("service"))
	var saved broker.Webhook
	if err == nil {
		saved, err = p.put(c, w)
	}
	var stale *broker.WebhookStaleError
	wrong, invalid := faultsOf(err)
	switch {
	case errors.As(err, &stale):
		again := p.form(f, nil)
		again.Problem = &brokerview.Problem{Kind: "warning", Text: "Nothing was saved: there is a webhook of this service already.",
			Link: brokerview.Link{Text: "Edit that one", URL: p.url("settings.webhook", w.Service)}}
		return p.renderList(c, http.StatusConflict, again, nil)
	case invalid:
		return p.renderList(c, http.StatusUnprocessableEntity, p.form(f, wrong), nil)
	case err != nil:
		return err
	}
	if w.Secret == "" {
		return p.renderList(c, http.StatusCreated, p.form(form{}, nil), &brokerview.WebhookSecret{Service: w.Service, Text: saved.Secret})
	}
	return p.done(c, p.url("settings.webhooks"), ui.ToastProps{Kind: "success", Text: "The webhook of " + w.Service + " is created."})
}

// put saves a webhook. What is told of it to the audit log has no secret.
func (p *webhookPages) put(c echo.Context, w broker.Webhook) (saved broker.Webhook, err error) {
	ctx := c.Request().Context()
	err = p.audited(c, verbWebhookSave, webhookObject(w.Service), func() (before, after string, err error) {
		was, err := p.Broker.Webhook(ctx, w.Service)
		if err != nil && !errors.Is(err, kvdb.ErrNotFound) && !errors.Is(err, kvdb.ErrInvalid) {
			return "", "", err
		}
		saved, err = p.Broker.SaveWebhook(ctx, w)
		after = webhookText(saved)
		if w.Secret != "" && was.Version != 0 {
			after += ", another secret"
		}
		return webhookText(was), after, err
	})
	return saved, err
}

func webhookText(w broker.Webhook) string {
	if w.URL == "" {
		return ""
	}
	text := w.URL + ", timeout " + typedSpan(w.Timeout)
	if w.AllowPrivate {
		text += ", private addresses allowed"
	}
	return text
}

// show serves GET /settings/webhooks/:service.
func (p *webhookPages) show(c echo.Context) error {
	w, err := p.Broker.Webhook(c.Request().Context(), param(c, "service"))
	if err != nil {
		return err
	}
	return p.renderOne(c, http.StatusOK, w, p.form(filled(w), nil), nil, "")
}

// renderOne shows a webhook; fault is what is wrong with the name that was typed to delete it.
func (p *webhookPages) renderOne(c echo.Context, status int, w broker.Webhook, f brokerview.WebhookForm,
	secret *brokerview.WebhookSecret, fault string) error {
	f.Action = p.url("settings.webhook.save", w.Service)
	f.Secret.Hint = "Signs each request. Empty: it stays what it is."
	page := brokerview.WebhookPage{
		Page: p.page(c, w.Service, p.crumbs("settings.webhooks", w.Service)...), Service: w.Service, Row: p.row(w), Form: f, Secret: secret,
		Delete:  p.url("settings.webhook.delete", w.Service),
		Confirm: ui.FieldProps{Name: "confirm", Label: "Type the service to delete its webhook", Error: fault, Required: true, Mono: true},
	}
	page.Page.Path = p.url("settings.webhook", w.Service)
	return render(c, status, brokerview.Webhook(page))
}

// save serves POST /settings/webhooks/:service with the fields version, url, timeout, secret, renew and private.
func (p *webhookPages) save(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, service := c.Request().Context(), param(c, "service")
	f.values.Set("service", service)
	w, err := readWebhook(c, f, service)
	var saved broker.Webhook
	if err == nil {
		saved, err = p.put(c, w)
	}
	if err == nil {
		if f.has("renew") && f.word("secret") == "" || saved.Secret != "" {
			return p.renderOne(c, http.StatusOK, saved, p.form(filled(saved), nil),
				&brokerview.WebhookSecret{Service: service, Text: cmp.Or(saved.Secret, w.Secret)}, "")
		}
		return p.done(c, p.url("settings.webhooks"), ui.ToastProps{Kind: "success", Text: "The webhook of " + service + " is saved."})
	}
	var stale *broker.WebhookStaleError
	wrong, invalid := faultsOf(err)
	switch {
	case errors.As(err, &stale) && stale.Current.Version == 0:
		p.flash(c, ui.ToastProps{Kind: "warning", Text: "Nothing was saved: somebody has deleted the webhook of " + service + " meanwhile."})
		return redirect(c, p.url("settings.webhooks", values("service", service)))
	case errors.As(err, &stale):
		again := p.form(f, nil)
		again.Version = strconv.FormatInt(stale.Current.Version, 10)
		again.Problem = &brokerview.Problem{Kind: "warning", Text: "Nothing was saved: " + stale.Current.UpdatedBy +
			" has changed it meanwhile. This is how it is now:"}
		again.Theirs = []string{webhookText(stale.Current)}
		return p.renderOne(c, http.StatusConflict, stale.Current, again, nil, "")
	case invalid:
		now, err := p.Broker.Webhook(ctx, service)
		if err != nil {
			return err
		}
		return p.renderOne(c, http.StatusUnprocessableEntity, now, p.form(f, wrong), nil, "")
	}
	return err
}

// delete serves POST /settings/webhooks/:service/delete with the field confirm, which repeats the service.
func (p *webhookPages) delete(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, service := c.Request().Context(), param(c, "service")
	now, err := p.Broker.Webhook(ctx, service)
	if err != nil {
		return err
	}
	if f.word("confirm") != service {
		return p.renderOne(c, http.StatusUnprocessableEntity, now, p.form(filled(now), nil), nil, "Type the service to confirm")
	}
	err = p.audited(c, verbWebhookDelete, webhookObject(service), func() (before, after string, err error) {
		return webhookText(now), "", p.Broker.DeleteWebhook(ctx, service, 0)
	})
	if err != nil {
		return err
	}
	return p.done(c, p.url("settings.webhooks"), ui.ToastProps{Kind: "success", Text: "The webhook of " + service + " is deleted."})
}
