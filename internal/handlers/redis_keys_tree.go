package handlers

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
)

// prefixes serves GET /redis/keys/prefixes with the query prefix and type: a level of the tree. all looks at all keys, for some seconds at most.
func (p *redisKeysPages) prefixes(c echo.Context) error {
	q, err := readKeysQuery(c)
	if err != nil {
		return err
	}
	all := query(c, "all") != ""
	most, limit := int64(treeSample), quickTree
	if all {
		most, limit = 0, treeTime
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), limit)
	defer cancel()
	level, err := p.DB.CountPrefixes(ctx, roleOf(c), kvdb.PrefixQuery{Prefix: q.prefix, Type: q.kind, Most: most}, nil)
	if err != nil {
		return err
	}
	tree := p.keyTree(q, level)
	if !level.Complete && !all {
		tree.Exact = p.url("redis.keys.prefixes", values("prefix", escapeBytes(q.prefix), "type", q.kind, "all", "1"))
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, redisview.KeyTreeOf(tree))
	}
	return render(c, http.StatusOK, redisview.KeysTree(redisview.KeysTreePage{Page: p.keysStep(c, "Prefixes", "Prefixes"), Tree: tree,
		List: p.url("redis.keys", values("prefix", escapeBytes(q.prefix), "type", q.kind))}))
}

func (p *redisKeysPages) keyTree(q keysQuery, level kvdb.Prefixes) redisview.KeyTree {
	var tree redisview.KeyTree
	to := func(prefix string) string {
		return p.url("redis.keys", values("prefix", escapeBytes(prefix), "type", q.kind))
	}
	if q.prefix != "" {
		tree.Path = append(tree.Path, redisview.KeyLink{Text: "all", URL: to("")})
		for i := range len(q.prefix) {
			if q.prefix[i] == ':' && i < len(q.prefix)-1 {
				from := strings.LastIndexByte(q.prefix[:i], ':') + 1
				tree.Path = append(tree.Path, redisview.KeyLink{Text: escapeBytes(q.prefix[from : i+1]), URL: to(q.prefix[:i+1])})
			}
		}
		from := strings.LastIndexByte(strings.TrimSuffix(q.prefix, ":"), ':') + 1
		tree.Path = append(tree.Path, redisview.KeyLink{Text: escapeBytes(q.prefix[from:])})
	}
	count := func(n int64) string {
		if level.Complete {
			return decimal(n)
		}
		return "about " + decimal(n)
	}
	branches := level.Children
	if len(branches) > treeRows {
		branches = slices.Clone(branches)
		slices.SortFunc(branches, func(a, b kvdb.Prefix) int { return cmp.Compare(b.Keys, a.Keys) })
		branches = branches[:treeRows]
		slices.SortFunc(branches, func(a, b kvdb.Prefix) int { return cmp.Compare(a.Name, b.Name) })
		tree.Note = "The " + decimal(treeRows) + " largest of " + decimal(int64(len(level.Children))) + " prefixes. "
	}
	for _, b := range branches {
		tree.Rows = append(tree.Rows, redisview.KeyBranch{Name: nameText(strings.TrimPrefix(b.Name, q.prefix)), URL: to(b.Name), Keys: count(b.About)})
	}
	if level.Leaves > 0 && len(tree.Rows) > 0 {
		leaves := level.Leaves
		if !level.Complete && level.Keys > 0 {
			leaves = int64(float64(level.Leaves) * float64(level.About) / float64(level.Keys))
		}
		tree.Leaves = count(leaves)
	}
	if len(tree.Rows) == 0 {
		tree.Nothing = "There are no prefixes: no key has a colon."
		if q.prefix != "" {
			tree.Nothing = "No further prefixes below this one. Keys that begin with it: " + count(level.About) + "."
		}
	}
	if !level.Complete {
		tree.Note += "Estimates from " + decimal(level.Looked) + " of about " + plural(level.Total, "key") + "."
	}
	return tree
}
