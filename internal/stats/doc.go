// Package stats measures services: how often each one is called, how long that takes, how often it fails, and which calls were
// the slowest, over any range of time. It knows nothing of what is measured: whoever calls Record does.
//
// # How a call gets from memory to Redis
//
// Record puts it into the cell of its service (recorder.go), which is all that the caller waits for; samples with a time of their own
// come by samples.go. Once a second, flush.go empties the cells into records of a service and minute, and writes those that have changed
// into the hash of live records, each as a whole, so that writing it again changes nothing. When the minute is over, roll.go moves it, once, into
// the minute, hour, day and month that stay. What a process left behind that died, processes.go takes over. A process that is killed
// loses what came in its last second.
//
// # How it is kept
//
// A record (record.go) has exact sums and the counts of the buckets of bucket.go. Periods (period.go) are of UTC; a range is made up of the largest
// that fit, and of live records. ADR 18 says why; kvdb.StatsKeys has the keys.
//
// # How it is read
//
// read.go reads periods of many services in one pipeline; services.go makes reports of them, trend.go trends and heat maps, and slow.go lists
// the slowest calls. bounds.go has the calendar, settings.go what people may change, memory.go what it costs, delete.go how to
// forget, and snapshot.go what Prometheus gets.
package stats
