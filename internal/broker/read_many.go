package broker

import (
	"context"
	"slices"

	"webadmin/internal/kvdb"
)

// manyAtATime is how many invocations one round trip reads: each is some commands.
const manyAtATime = 100

// InvocationsOf returns those of the CIDs whose invocations are still kept, as lists have them but without payloads and results, by CID. What
// is no CID of ours is not among them.
func (s *Store) InvocationsOf(ctx context.Context, cids []string) (map[string]Invocation, error) {
	if err := s.learnTags(ctx, cids); err != nil {
		return nil, err
	}
	var refs []ref
	for _, cid := range cids {
		if tag, ok := splitCID(cid); ok {
			if service, known := s.registry.name(tag); known {
				refs = append(refs, ref{service: service, cid: cid})
			}
		}
	}
	found := make(map[string]Invocation, len(refs))
	for some := range slices.Chunk(refs, manyAtATime) {
		all, _, err := s.read(ctx, some, 1)
		if err != nil {
			return nil, kvdb.ReadErr("broker: read invocations", err)
		}
		for _, i := range all {
			i.Payload, i.Result = nil, nil
			found[i.CID] = i
		}
	}
	return found, nil
}

// learnTags reads of what services the CIDs are, as far as this process doesn't know, all in one go.
func (s *Store) learnTags(ctx context.Context, cids []string) error {
	var tags []string
	for _, cid := range cids {
		tag, ok := splitCID(cid)
		if _, known := s.registry.name(tag); ok && !known && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	if tags == nil {
		return nil
	}
	names, err := s.db.Client().HMGet(ctx, s.keys.Broker().Services(), tags...).Result()
	if err != nil {
		return kvdb.ReadErr("broker: read the services of invocations", err)
	}
	learned := map[string]string{}
	for i, name := range names {
		if name, ok := name.(string); ok {
			learned[tags[i]] = name
		}
	}
	s.registry.add(learned)
	return nil
}
