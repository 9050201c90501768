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
)

// The demo has a service that takes orders, and somebody who sends them: some fail at first, and a few for good.
const (
	demoOrders  = "demo:orders"
	demoStock   = "demo:stock" // channel that says what was sold
	demoEvery   = 2 * time.Second
	demoAtFirst = 40 // orders, so that no page is empty
)

var demoArticles = []string{"apple", "bicycle", "candle", "drum", "envelope"}

// handleDemo has this process take the orders of the demo.
func (s *stores) handleDemo() {
	s.broker.Handle(func(service string) bool { return service == demoOrders }, broker.HandlerBuiltin, takeOrder)
}

// takeOrder is the demo's handler: it takes a while, knows the customers but for a few, and sometimes has to be asked again.
func takeOrder(ctx context.Context, d broker.Delivery) ([]byte, error) {
	var order struct{ Customer int }
	if err := json.Unmarshal(d.Payload, &order); err != nil {
		return nil, &broker.PermanentError{Err: fmt.Errorf("this is no order: %w", err)}
	}
	work := time.NewTimer(time.Duration(5+rand.ExpFloat64()*20) * time.Millisecond)
	defer work.Stop()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-work.C:
	}
	switch {
	case order.Customer >= 1049:
		return nil, &broker.PermanentError{Err: fmt.Errorf("the customer %d is not known", order.Customer)}
	case rand.IntN(100) < 6:
		return nil, errors.New("the warehouse does not answer")
	}
	return fmt.Appendf(nil, `{"accepted":true,"in_days":%d}`, 1+rand.IntN(5)), nil
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
			err = s.sendOrder(ctx)
		}
		if err != nil && ctx.Err() == nil {
			logger.Debug("demo traffic", "error", err)
		}
	}
}

// sendOrder invokes the demo's services once.
func (s *stores) sendOrder(ctx context.Context) error {
	article, pieces := demoArticles[rand.IntN(len(demoArticles))], 1+rand.IntN(9)
	order := fmt.Appendf(nil, `{"article":%q,"pieces":%d,"customer":%d}`, article, pieces, 1000+rand.IntN(50))
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
	for range demoAtFirst {
		if err := s.sendOrder(ctx); err != nil {
			return err
		}
	}
	return nil
}
