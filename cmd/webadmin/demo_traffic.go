package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"webadmin/internal/broker"
	"webadmin/internal/dict"
)

// The demo has a service that takes orders, and somebody who sends them: some fail at first, and those to a country that nobody has
// mapped fail for good, until somebody adds the translation and retries them.
const (
	demoOrders  = "demo:orders"
	demoStock   = "demo:stock" // channel that says what was sold
	demoEvery   = 2 * time.Second
	demoAtFirst = 40 // orders, so that no page is empty
	demoMissing = 20 // one order of so many is to the country without a translation
	unmapped    = "XK"
)

var (
	demoArticles  = []string{"apple", "bicycle", "candle", "drum", "envelope"}
	demoCountries = []string{"AW", "BR", "DE", "FR", "JP", "PL"}
)

// handleDemo has this process take the orders of the demo.
func (s *stores) handleDemo() {
	s.broker.Handle(func(service string) bool { return service == demoOrders }, broker.HandlerBuiltin, s.takeOrder)
}

// takeOrder is the demo's handler: it takes a while, looks up how the billing system calls the country, and sometimes has to be asked again.
func (s *stores) takeOrder(ctx context.Context, d broker.Delivery) ([]byte, error) {
	var order struct{ Country string }
	if err := json.Unmarshal(d.Payload, &order); err != nil || order.Country == "" {
		return nil, &broker.PermanentError{Err: errors.New("this is no order: it names no country")}
	}
	work := time.NewTimer(time.Duration(5+rand.ExpFloat64()*20) * time.Millisecond)
	defer work.Stop()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-work.C:
	}
	if rand.IntN(100) < 6 {
		return nil, errors.New("the warehouse does not answer")
	}
	country, err := s.dict.Translate(ctx, dict.Query{System1: "CRM", Key1: "COUNTRY_CODE", Value1: order.Country,
		System2: "BILLING", Key2: "COUNTRY_CODE"})
	if err != nil {
		return nil, err
	}
	if !country.Found {
		return nil, &broker.PermanentError{Err: fmt.Errorf("CRM COUNTRY_CODE %s has no translation to BILLING COUNTRY_CODE", order.Country)}
	}
	return fmt.Appendf(nil, `{"accepted":true,"country":%q,"in_days":%d}`, country.Value2, 1+rand.IntN(5)), nil
}

// demoTraffic sends orders until ctx ends, to a store that has the demo data: the service is known there.
func (s *stores) demoTraffic(ctx context.Context, logger *slog.Logger) error {
	tick := time.NewTicker(demoEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		_, err := s.broker.Service(ctx, demoOrders)
		if err == nil {
			err = s.sendOrder(ctx, rand.IntN(demoMissing))
		}
		if err != nil && ctx.Err() == nil {
			logger.Debug("demo traffic", "error", err)
		}
	}
}

// sendOrder invokes the demo's services once; n is the number of the order.
func (s *stores) sendOrder(ctx context.Context, n int) error {
	article, pieces := demoArticles[rand.IntN(len(demoArticles))], 1+rand.IntN(9)
	country := demoCountries[rand.IntN(len(demoCountries))]
	if n%demoMissing == 0 {
		country = unmapped
	}
	order := fmt.Appendf(nil, `{"article":%q,"pieces":%d,"country":%q}`, article, pieces, country)
	call := broker.Call{Service: demoOrders, Payload: order, MaxAttempts: 3, By: "demo"}
	switch rand.IntN(10) {
	case 0:
		call.Callback = "echo"
	case 1:
		call.Delay = 5 * time.Second
	}
	if _, err := s.broker.Invoke(ctx, call); err != nil {
		return err
	}
	limit := broker.Call{Service: "lua:limit.per_window", Payload: []byte(`{"keys":["demo:calls"],"values":["100","60"]}`), By: "demo"}
	if _, err := s.broker.Invoke(ctx, limit); err != nil {
		return err
	}
	_, _, err := s.broker.Publish(ctx, demoStock, fmt.Appendf(nil, `{"article":%q,"sold":%d}`, article, pieces), "demo", "")
	return err
}

// sendFirstOrders makes the demo's services known.
func (s *stores) sendFirstOrders(ctx context.Context) error {
	for n := range demoAtFirst {
		if err := s.sendOrder(ctx, n); err != nil {
			return err
		}
	}
	return nil
}
