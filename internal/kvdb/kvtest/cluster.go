package kvtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
)

const nodes = 3

// startCluster starts three masters on the loopback address and has them meet.
func startCluster() (url string, err error) {
	var ps []*process
	var ports []int
	for len(ps) < nodes {
		var p *process
		var port int
		// Somebody may take a port between the check and the start.
		for attempt := range 5 {
			port = freePort()
			p, err = start(fmt.Sprintf("node%d-%d", len(ps), attempt), []string{
				"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--cluster-enabled", "yes"})
			if err == nil {
				break
			}
		}
		if err != nil {
			return "", err
		}
		ps, ports = append(ps, p), append(ports, port)
	}
	var addrs []string
	for i, p := range ps {
		addrs = append(addrs, "127.0.0.1:"+strconv.Itoa(ports[i]))
		var slots strings.Builder
		for slot := i * 16384 / nodes; slot < (i+1)*16384/nodes; slot++ {
			fmt.Fprintf(&slots, " %d", slot)
		}
		for _, command := range []string{
			"CLUSTER SET-CONFIG-EPOCH " + strconv.Itoa(i+1),
			"CLUSTER ADDSLOTS" + slots.String(),
			"CLUSTER MEET 127.0.0.1 " + strconv.Itoa(ports[0]),
		} {
			reply, err := call(p.socket(), command)
			if err == nil && reply != "+OK" {
				err = errors.New(reply)
			}
			if err != nil {
				return "", fmt.Errorf("cluster node: %.30s: %w", command, err)
			}
		}
	}
	return "redis-cluster://" + strings.Join(addrs, ","), awaitCluster(ps)
}

// awaitCluster waits until each node knows the owners of all slots.
func awaitCluster(ps []*process) error {
	for _, p := range ps {
		var info string
		var err error
		if !comes(patience, func() bool {
			info, err = call(p.socket(), "CLUSTER INFO")
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_size:"+strconv.Itoa(nodes))
		}) {
			return fmt.Errorf("the test cluster does not form: %s (%v)\n%s", info, err, p.log())
		}
	}
	return nil
}

// freePort finds a port that is free together with that of the cluster bus, 10000 above it, below those
// that the system gives to connections.
func freePort() int {
	for {
		port := 12000 + rand.IntN(10000)
		if free(port) && free(port+10000) {
			return port
		}
	}
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// FreePort returns a port for NewServer("--port", …), free together with that of a cluster bus.
func FreePort() string { return strconv.Itoa(freePort()) }
