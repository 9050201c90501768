package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/brokerview"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// publishForm serves GET /broker/publish with the query channel, and preset or from: the ID of a message to be sent again.
func (p *brokerChannelPages) publishForm(c echo.Context) error {
	ctx, channel := c.Request().Context(), query(c, "channel")
	text, err := p.prefilled(ctx, c, channel)
	if err != nil {
		return err
	}
	return p.renderPublish(c, http.StatusOK, form{values("channel", channel, "message", text)}, nil, nil)
}

// knownNames are how many channels a field suggests.
const knownNames = 200

func (p *brokerChannelPages) renderPublish(c echo.Context, status int, f form, wrong faults, problem *brokerview.Problem) error {
	v, err := p.formOf(c.Request().Context(), f, "", wrong, problem)
	if err != nil {
		return err
	}
	if page, err := p.Broker.Channels(c.Request().Context(), "", "", knownNames); err == nil { // without suggestions it works, too
		for _, x := range page.Items {
			v.Names = append(v.Names, x.Name)
		}
	}
	v.Alone, v.Cancel = true, p.url("broker.channels")
	if name := f.word("channel"); name != "" && broker.CheckChannel(name) == nil {
		v.Cancel = p.url("broker.channel", name)
	}
	v.Message.Field.Rows = 14
	v.Name.Autofocus, v.Message.Field.Autofocus = v.Name.Value == "", v.Name.Value != ""
	page := brokerview.PublishPage{Page: p.page(c, "Publish", p.way(layout.Crumb{Text: "Publish"})...), Form: v}
	page.Page.Path = p.url("broker.publish")
	return render(c, status, brokerview.Publish(page))
}

// formOf is the form with what was typed and what is wrong with it; channel is that whose page it is on, with its presets.
func (p *brokerChannelPages) formOf(ctx context.Context, f form, channel string, wrong faults,
	problem *brokerview.Problem) (brokerview.PublishForm, error) {
	in := func(name, label string) ui.FieldProps {
		return field(f, wrong, "publish-"+name, ui.FieldProps{Name: name, Label: label, Form: "publish-form"})
	}
	v := brokerview.PublishForm{
		Action: p.url("broker.publish.do"), Op: cmp.Or(f.word("op"), newOp()), Channel: channel, Problem: problem,
		Name: in("channel", "Channel"), Times: in("times", "Times"), Preset: in("preset", "Name of a preset"),
		Message: p.jsonEditor("message", "Message, JSON", "publish-form", f.text("message")),
	}
	v.Name.Required, v.Name.Mono, v.Name.List, v.Name.MaxLength = true, true, "channel-names", 200
	v.Times.Type, v.Times.Attrs = "number", map[string]any{"min": "1", "max": strconv.Itoa(broker.MaxTimes), "inputmode": "numeric"}
	if v.Times.Value == "" {
		v.Times.Value = "1"
	}
	v.Message.Field.Required = true
	v.Message.Field.Placeholder = `{"order": 17}`
	if wrong["message"] != "" && v.Message.Say.Fault == "" {
		v.Message.Say = brokerview.Say{ID: "message", Fault: wrong["message"]}
	}
	if channel == "" {
		return v, nil
	}
	presets, err := p.Broker.Presets(ctx, channel)
	if err != nil {
		return v, err
	}
	for _, x := range presets {
		v.Presets = append(v.Presets, brokerview.PresetRow{
			Name: x.Name, By: x.By, At: x.At, URL: p.url("broker.channel", channel, values("preset", x.Name)) + "#publish",
			Delete: p.url("broker.channel.unpreset", channel),
		})
	}
	return v, nil
}

// publish serves POST /broker/publish with the fields op, channel, message and times; with do=preset it saves the message under the name preset.
func (p *brokerChannelPages) publish(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	channel, message := f.word("channel"), []byte(f.text("message"))
	var toast ui.ToastProps
	if f.word("do") == "preset" {
		toast, err = p.savePreset(c, f, channel, message)
	} else {
		toast, err = p.publishNow(c, f, channel, message)
	}
	if err != nil {
		return p.publishAgain(c, f, channel, err)
	}
	if !wantsFragment(c.Request()) {
		return p.done(c, p.url("broker.channel", channel), toast)
	}
	f.values.Del("preset")
	f.values.Del("op")
	v, err := p.formOf(c.Request().Context(), f, channel, nil, nil) // the message stays, to be changed and sent again
	if err != nil {
		return err
	}
	v.Said, v.SaidOf = toast.Text, brokerview.Link{Text: toast.LinkText, URL: toast.LinkURL}
	return render(c, http.StatusOK, brokerview.PublishOf(v))
}

func (p *brokerChannelPages) publishNow(c echo.Context, f form, channel string, message []byte) (toast ui.ToastProps, err error) {
	times := 1
	if typed := f.word("times"); typed != "" {
		if err := readCount("times", typed, broker.MaxTimes, &times); err != nil {
			return toast, err
		}
	}
	if len(message) == 0 {
		return toast, kvdb.Invalid("message", "is empty; an empty text is \"\", nothing is null")
	}
	op := opOf(c, f.word("op"), channel, string(message), strconv.Itoa(times))
	var m broker.Message
	var receivers int64
	err = p.audited(c, verbPublish, channelObject(channel), func() (before, after string, err error) {
		m, receivers, err = p.Broker.PublishTimes(c.Request().Context(), channel, message, actor(c), op, times)
		if err != nil {
			return "", "", err
		}
		return "", fmt.Sprintf("%s, %s", plural(int64(times), "message"), byteSize(int64(len(message)))), nil
	})
	if err != nil {
		return toast, err
	}
	text := "Published. "
	if times > 1 {
		text = fmt.Sprintf("Published %s times. ", decimal(int64(times)))
	}
	switch receivers {
	case 0:
		text += "Nobody is connected now."
	case 1:
		text += "One subscriber is connected."
	default:
		text += decimal(receivers) + " subscribers are connected."
	}
	return ui.ToastProps{Kind: "success", Text: text, LinkText: "Message " + decimal(m.N), LinkURL: p.url("broker.channel.message", channel, m.ID)}, nil
}

func (p *brokerChannelPages) savePreset(c echo.Context, f form, channel string, message []byte) (ui.ToastProps, error) {
	name := f.word("preset")
	err := p.audited(c, verbPresetSave, channelObject(channel), func() (before, after string, err error) {
		err = p.Broker.SavePreset(c.Request().Context(), channel, broker.Preset{Name: name, Data: message, By: actor(c)})
		var invalid *kvdb.InvalidError
		if errors.As(err, &invalid) && invalid.Fields[0].Field == "name" { // of the preset
			err = kvdb.Invalid("preset", "%s", invalid.Fields[0].Message)
		}
		return "", name, err
	})
	return ui.ToastProps{Kind: "success", Text: "The preset is saved."}, err
}

// publishAgain shows the form again with all that was typed. Errors that have nothing to do with it are returned.
func (p *brokerChannelPages) publishAgain(c echo.Context, f form, channel string, err error) error {
	var (
		wrong   faults
		problem *brokerview.Problem
		status  int
	)
	told := p.problemOf(err, c)
	wrong, invalid := faultsOf(err)
	switch {
	case invalid:
		status = http.StatusUnprocessableEntity
	case errors.Is(err, kvdb.ErrInvalid): // the message is too large, or no JSON
		wrong, status = faults{"message": told.Detail}, http.StatusUnprocessableEntity
	case errors.Is(err, kvdb.ErrUnknown):
		problem, status = &brokerview.Problem{Kind: "warning",
			Text: "It is not known whether it was published. Send it again as it is: it is published once, however often it is sent."},
			http.StatusGatewayTimeout
	case errors.Is(err, kvdb.ErrAway):
		problem, status = &brokerview.Problem{Kind: "error", Text: "Nothing was published. " + told.Detail}, http.StatusServiceUnavailable
	default:
		return err
	}
	if !wantsFragment(c.Request()) {
		return p.renderPublish(c, status, f, wrong, problem)
	}
	v, listErr := p.formOf(c.Request().Context(), f, channel, wrong, problem)
	if listErr != nil && status < http.StatusInternalServerError {
		return listErr
	}
	swapAnyway(c, "outerHTML")
	return render(c, status, brokerview.PublishOf(v))
}

// deletePreset serves POST /broker/channels/:name/presets/delete with the field name.
func (p *brokerChannelPages) deletePreset(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	channel, name := param(c, "name"), f.text("name")
	err = p.audited(c, verbPresetDelete, channelObject(channel), func() (before, after string, err error) {
		return name, "", p.Broker.DeletePreset(c.Request().Context(), channel, name)
	})
	if err != nil && !errors.Is(err, kvdb.ErrNotFound) {
		return err
	}
	return p.done(c, p.url("broker.channel", channel), ui.ToastProps{Kind: "success", Text: "The preset is deleted."})
}
