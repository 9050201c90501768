package api

import (
	"context"
	"net/http"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
)

// maxBatchBody holds a batch of the largest values, with as many bytes again for their escapes.
const maxBatchBody = 2 * dict.MaxBatch * dict.MaxValue

// TranslateRequest asks how one system calls a value of another.
type TranslateRequest struct {
	System1 string  `json:"system1" minLength:"1" maxLength:"128" example:"CRM" doc:"The system that the value comes from."`
	Key1    string  `json:"key1" minLength:"1" maxLength:"128" example:"COUNTRY_CODE" doc:"What kind of value it is there."`
	Value1  string  `json:"value1" example:"AW" doc:"The value there."`
	System2 string  `json:"system2" minLength:"1" maxLength:"128" example:"BILLING" doc:"The system that the value is for."`
	Key2    string  `json:"key2" minLength:"1" maxLength:"128" example:"COUNTRY_CODE" doc:"What kind of value it is there."`
	Default *string `json:"default,omitempty" doc:"The value2 of the answer when there is no translation."`
}

// TranslateAnswer is the value in the other system. A translation to the empty text is found; a missing one is not.
type TranslateAnswer struct {
	Value2 string `json:"value2" example:"533" doc:"The value in the other system; the default, or the empty text, when there is none."`
	Found  bool   `json:"found" example:"true" doc:"Whether there is a translation."`
}

func (a TranslateAnswer) appendJSON(b []byte) []byte {
	b = append(b, `{"value2":`...)
	b = appendText(b, a.Value2)
	b = append(b, `,"found":`...)
	return append(appendBool(b, a.Found), '}')
}

// BatchRequest asks for many values at once.
type BatchRequest struct {
	System1 string   `json:"system1" minLength:"1" maxLength:"128" example:"CRM" doc:"The system that the values come from."`
	Key1    string   `json:"key1" minLength:"1" maxLength:"128" example:"COUNTRY_CODE" doc:"What kind of values they are there."`
	System2 string   `json:"system2" minLength:"1" maxLength:"128" example:"ERP" doc:"The system that the values are for."`
	Key2    string   `json:"key2" minLength:"1" maxLength:"128" example:"country_iso3" doc:"What kind of values they are there."`
	Values  []string `json:"values" maxItems:"10000" example:"[\"PL\",\"BQ\"]" doc:"The values there."`
	Default *string  `json:"default,omitempty" doc:"The value2 of each result for which there is no translation."`
}

// BatchAnswer has a result for each value, in their order.
type BatchAnswer struct {
	Results []BatchResult `json:"results"`
}

// BatchResult is the answer for one value.
type BatchResult struct {
	Value1 string `json:"value1" example:"PL" doc:"The value that was asked for."`
	Value2 string `json:"value2" example:"POL" doc:"The value in the other system; the default, or the empty text, when there is none."`
	Found  bool   `json:"found" example:"true" doc:"Whether there is a translation."`
}

func (a BatchAnswer) appendJSON(b []byte) []byte {
	b = append(b, `{"results":[`...)
	for i, r := range a.Results {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"value1":`...)
		b = appendText(b, r.Value1)
		b = append(b, `,"value2":`...)
		b = appendText(b, r.Value2)
		b = append(b, `,"found":`...)
		b = append(appendBool(b, r.Found), '}')
	}
	return append(b, "]}"...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, "true"...)
	}
	return append(b, "false"...)
}

type translateInput struct{ Body TranslateRequest }

type batchInput struct{ Body BatchRequest }

func (s *server) translateCalls() []operation {
	return []operation{
		call(mw.Route{Name: "api.translate", Method: http.MethodPost, Path: Base + "/translate", Need: account.Viewer, Quick: true},
			about{group: "Translate", summary: "Translate a value", text: "What is not found is not an error: found is false, and value2 is the default. It is counted as a miss."},
			s.translate),
		call(mw.Route{Name: "api.translate.batch", Method: http.MethodPost, Path: Base + "/translate/batch", Need: account.Viewer, Body: maxBatchBody, Quick: true},
			about{group: "Translate", summary: "Translate many values", text: "Up to 10,000 values in one round trip."},
			s.translateBatch),
	}
}

func (s *server) translate(ctx context.Context, in *translateInput) (TranslateAnswer, error) {
	q := &in.Body
	start := time.Now()
	r, err := s.Dict.Translate(ctx, dict.Query{System1: q.System1, Key1: q.Key1, Value1: q.Value1, System2: q.System2, Key2: q.Key2})
	s.Stats.Record("translate", time.Since(start), err != nil, mw.From(ctx).CID)
	if err != nil {
		return TranslateAnswer{}, err
	}
	return TranslateAnswer{Value2: orDefault(r, q.Default), Found: r.Found}, nil
}

func (s *server) translateBatch(ctx context.Context, in *batchInput) (BatchAnswer, error) {
	q := &in.Body
	start := time.Now()
	results, err := s.Dict.TranslateBatch(ctx, dict.Query{System1: q.System1, Key1: q.Key1, System2: q.System2, Key2: q.Key2}, q.Values)
	s.Stats.Record("translate:batch", time.Since(start), err != nil, mw.From(ctx).CID)
	if err != nil {
		return BatchAnswer{}, err
	}
	out := BatchAnswer{Results: make([]BatchResult, len(results))}
	for i, r := range results {
		out.Results[i] = BatchResult{Value1: q.Values[i], Value2: orDefault(r, q.Default), Found: r.Found}
	}
	return out, nil
}

func orDefault(r dict.Result, instead *string) string {
	if !r.Found && instead != nil {
		return *instead
	}
	return r.Value2
}
