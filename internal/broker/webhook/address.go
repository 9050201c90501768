package webhook

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// refusedError says that a webhook may not connect to the address that its host has.
type refusedError struct{ why string }

func (e *refusedError) Error() string { return e.why }

// privateNets are those beside the private, loopback and link-local ones that netip knows, that lead into some network which is not the
// Internet, or through which an IPv4 address of such a network can be written as one of IPv6.
var privateNets = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32", "2002::/16", "fec0::/10",
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// refusal says why a webhook may not connect to an address; "" = it may. Link-local ones are refused to all: there, clouds keep
// the credentials of the machine.
func refusal(addr netip.Addr, allowPrivate bool) string {
	addr = addr.Unmap().WithZone("")
	switch {
	case addr.IsUnspecified(), addr.IsMulticast(), addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is not the address of a server"
	case addr.IsLinkLocalUnicast():
		return "is a link-local address, to which webhooks don't connect"
	case allowPrivate:
		return ""
	case addr.IsLoopback(), addr.IsPrivate(), slices.ContainsFunc(privateNets, func(p netip.Prefix) bool { return p.Contains(addr) }):
		return "is a private address, which this webhook is not allowed to connect to"
	}
	return ""
}

// control refuses addresses when they are dialled, after the host's name was resolved: a name can't lead elsewhere meanwhile.
func control(allowPrivate bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("webhook: address %q: %w", address, err)
		}
		if why := refusal(at.Addr(), allowPrivate); why != "" {
			return &refusedError{why}
		}
		return nil
	}
}
