package console_test

import "strings"

// These are run in the order in which they stand, in the console and in redis-cli, on the same server. Some lines are about
// what redis-cli makes of a line. "2:" and "3:" before one are for that protocol alone. CLIENT GETNAME comes only where a line has given a
// name: without one the console has its own, and redis-cli none.
const cliLines = `
SET k "a\x00\xff\n\r\t\a\b\"\\\q\x4g'"
GET k
GET 'it\'s "so" \n'
SET "two words" 'x y'
GET "two words"
get "two words
get "two"words
get 'two'words
get two"words"
   GET   "two words"   
ECHO ""
ECHO ''
ECHO "żółw ☃"
ECHO a\nb
ECHO "\xzz\x4"
ECHO "\\"
3 PING
0 PING
-2 PING
+2 PING
2x PING
99999999999999999999 PING
5
"2" ECHO x
"" PING
NOSUCH a b
CONFIG NOSUCH
GET
get k x
APPEND k tail
STRLEN k
SETRANGE k 2 zz
GETRANGE k 0 3
SUBSTR k 0 1
SET n 10
INCR n
INCRBY n 5
DECR n
DECRBY n 2
INCRBYFLOAT n 1.5
INCR n
SET n 1 NX
SET n 2 XX GET
SETNX n 3
SETEX e 100000 v
PSETEX e 100000000 v
GETEX e PERSIST
GETSET n 7
MSET a 1 b 2
MSETNX a 1 c 3
MGET a b nosuch
GETDEL a
LCS k b
SET ohm ohmytext
SET my mynewtext
LCS ohm my
LCS ohm my LEN
LCS ohm my IDX WITHMATCHLEN
DEL a b nosuch
EXISTS n nosuch n
TYPE n
TYPE nosuch
TTL n
TTL nosuch
PTTL n
EXPIREAT n 33177117420
EXPIRETIME n
PEXPIREAT n 33177117420000
PEXPIRETIME n
PERSIST n
EXPIRE nosuch 10
PEXPIRE nosuch 10
RENAME n m
RENAMENX m n
RENAME nosuch x
COPY n copied
TOUCH n copied
UNLINK copied
MOVE n 1
SELECT 1
RANDOMKEY
GET n
MOVE n 0
DBSIZE
KEYS *
SCAN 0
FLUSHDB
SELECT 99
SELECT 0
KEYS no*
KEYS m?
SCAN 0 MATCH no* COUNT 1000
OBJECT ENCODING n
OBJECT REFCOUNT n
OBJECT FREQ n
OBJECT IDLETIME nosuch
OBJECT HELP
DUMP n
DUMP nosuch
RESTORE n 0 bad
RESTORE-ASKING n 0 bad
MIGRATE 127.0.0.1 1 nosuch 0 10
WAIT 0 0
RPUSH l c a b
LPUSH l z
LPUSHX l y
RPUSHX nosuch y
LLEN l
LINDEX l 0
LINSERT l BEFORE a aa
LRANGE l 0 -1
LRANGE nosuch 0 -1
LPOS l a
LPOS l a COUNT 2
LSET l 0 first
LSET l 99 x
LREM l 1 z
LMOVE l l2 LEFT RIGHT
RPOPLPUSH l l2
BLMOVE l l2 LEFT RIGHT 0.01
BRPOPLPUSH l l2 0.01
LRANGE l2 0 -1
LMPOP 2 l l2 LEFT COUNT 2
BLMPOP 0.01 1 nosuch LEFT
BLPOP l2 0.01
BRPOP nosuch 0.01
LPOP l2
LPOP l2 2
RPOP nosuch
LPUSH l3 1 2 3 4 5 6 7 8 9 10 11
LRANGE l3 0 -1
SORT l3 LIMIT 0 3
SORT_RO l3 DESC LIMIT 0 2
SORT l3 BY nosort GET # GET nosuch_* LIMIT 0 2
LTRIM l3 0 1
SADD s a
SMEMBERS s
SMEMBERS nosuch
SCARD s
SISMEMBER s a
SMISMEMBER s a b
SRANDMEMBER s
SRANDMEMBER s 5
SADD s2 a b
SDIFF s2 s
SDIFFSTORE d s2 s
SINTER s s2
SINTERCARD 2 s s2
SINTERSTORE d s s2
SUNION s nosuch
SUNIONSTORE d s s2
SMOVE s2 s b
SREM s b
SSCAN s 0
SPOP s
SPOP nosuch
SPOP s2 1
SADD i 1 2 3
SMEMBERS i
ZADD z 1 one 2.5 two -inf less +inf more
ZADD z INCR 1 one
ZADD z NX INCR 1 one
ZCARD z
ZCOUNT z 0 3
ZINCRBY z 0.25 two
ZSCORE z two
ZSCORE z nosuch
ZMSCORE z one nosuch more
ZRANK z two
ZREVRANK z two
ZRANK z nosuch
ZRANGE z 0 -1
ZRANGE z 0 -1 WITHSCORES
ZRANGE z 0 10 BYSCORE LIMIT 0 1
ZREVRANGE z 0 1 WITHSCORES
ZRANGEBYSCORE z -inf +inf WITHSCORES
ZREVRANGEBYSCORE z +inf 2
ZRANGESTORE zz z 0 1
ZADD lex 0 a 0 b 0 c
ZLEXCOUNT lex - +
ZRANGEBYLEX lex [a (c
ZREVRANGEBYLEX lex + -
ZDIFF 2 z zz WITHSCORES
ZDIFFSTORE d 2 z zz
ZINTER 2 z zz WITHSCORES
ZINTERCARD 2 z zz
ZINTERSTORE d 2 z zz
ZUNION 2 lex zz
ZUNIONSTORE d 2 lex zz WEIGHTS 2 1
ZRANDMEMBER nosuch
ZRANDMEMBER nosuch 2
ZSCAN lex 0
ZREM lex a
ZREMRANGEBYLEX lex [b [b
ZREMRANGEBYRANK d 0 0
ZREMRANGEBYSCORE d 0 1
ZPOPMIN z
ZPOPMAX z 2
ZMPOP 1 z MIN
ZMPOP 1 nosuch MIN
ZADD z 1 a 2 b 3 c
BZMPOP 0.01 1 z MAX
BZPOPMIN z 0.01
BZPOPMAX z 0.01
BZPOPMAX nosuch 0.01
HSET h f v g "w x"
HSETNX h f z
HGET h f
HGET h nosuch
HMGET h f nosuch
HMSET h i 1
HGETALL h
HGETALL nosuch
HKEYS h
HVALS h
HLEN h
HEXISTS h f
HSTRLEN h g
HINCRBY h i 4
HINCRBYFLOAT h i 0.5
HINCRBY h f 1
HRANDFIELD nosuch
HRANDFIELD h2 2 WITHVALUES
HSCAN h 0
HDEL h f nosuch
LPUSH h x
PFADD p a b c
PFCOUNT p
PFMERGE p2 p
PFDEBUG ENCODING p
2:PFSELFTEST
SETBIT bits 7 1
GETBIT bits 7
BITCOUNT bits
BITPOS bits 1
BITOP NOT bits2 bits
BITFIELD bits INCRBY u2 100 1 GET u4 0 OVERFLOW FAIL INCRBY u2 102 9
BITFIELD_RO bits GET u8 0
GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
GEODIST geo Palermo Catania km
GEODIST geo Palermo nosuch
GEOHASH geo Palermo nosuch
GEOPOS geo Palermo nosuch
GEOSEARCH geo FROMMEMBER Palermo BYRADIUS 200 km ASC WITHCOORD WITHDIST WITHHASH
GEOSEARCHSTORE near geo FROMLONLAT 15 37 BYBOX 400 400 km
GEORADIUS geo 15 37 200 km WITHDIST ASC
GEORADIUS_RO geo 15 37 100 km
GEORADIUSBYMEMBER geo Palermo 200 km DESC
GEORADIUSBYMEMBER_RO geo Palermo 10 km WITHCOORD
XADD x 1-1 f v g w
XADD x 1-2 f v2
XADD x 1-1 f v
XADD x 2-0 only field
XLEN x
XRANGE x - +
XREVRANGE x + - COUNT 1
XREAD COUNT 1 STREAMS x 0
XREAD STREAMS x $
XREAD BLOCK 10 STREAMS x $
XGROUP CREATE x g 0
XGROUP CREATE x g 0
XGROUP CREATECONSUMER x g idle
XINFO STREAM x
XINFO GROUPS x
XREADGROUP GROUP g c COUNT 2 STREAMS x >
XPENDING x g
XPENDING x g 9-0 + 10
XACK x g 1-1
XCLAIM x g d 0 1-2 JUSTID
XAUTOCLAIM x g e 0 0 JUSTID
XGROUP SETID x g $
XGROUP DELCONSUMER x g e
XINFO GROUPS x
XGROUP CREATE x empty $
XINFO CONSUMERS x empty
XGROUP DESTROY x g
XGROUP HELP
XINFO HELP
XDEL x 1-1
XTRIM x MAXLEN 1
XSETID x 9-9
XINFO STREAM x FULL
PUBLISH c m
SPUBLISH c m
PUBSUB CHANNELS
PUBSUB NUMPAT
PUBSUB NUMSUB a b
PUBSUB SHARDCHANNELS
PUBSUB SHARDNUMSUB a
PUBSUB HELP
2:UNSUBSCRIBE
2:PUNSUBSCRIBE
2:SUNSUBSCRIBE
SUBSCRIBE
MULTI
MULTI
SET t 1
INCR t
LPUSH t x
HGETALL h
WATCH t
EXEC
EXEC
MULTI
SET t
SET t 2
EXEC
MULTI
SET t 3
DISCARD
DISCARD
WATCH t
SET t 9
MULTI
GET t
EXEC
WATCH t
UNWATCH
MULTI
SELECT 2
SET in2 x
CLIENT SETNAME from-multi
EXEC
CLIENT GETNAME
KEYS *
FLUSHDB ASYNC
SELECT 0
EVAL "return {1,{2,{3,4}},{},redis.error_reply('MY fault'),redis.status_reply('fine'),false,'text'}" 0
EVAL "return redis.call('GET',KEYS[1])" 1 n
EVAL "return redis.call('LPUSH',KEYS[1],'x')" 1 n
EVAL "return {err='a\\0b'}" 0
EVAL "return {ok='two\\0words'}" 0
EVAL "nonsense" 0
EVAL_RO "return redis.call('SET','a','b')" 0
3:EVAL "redis.setresp(3) return {map={a=1}}" 0
3:EVAL "redis.setresp(3) return {map={a={1,2}}}" 0
3:EVAL "redis.setresp(3) return {map={a={1}}}" 0
3:EVAL "redis.setresp(3) return {map={a={{1,2}}}}" 0
3:EVAL "redis.setresp(3) return {map={a={{{}}}}}" 0
3:EVAL "redis.setresp(3) return {map={a={map={b={map={c={1,2}}}}}}}" 0
3:EVAL "redis.setresp(3) return {map={a={map={[{1,2}]=3}}}}" 0
3:EVAL "redis.setresp(3) return {map={[{map={x={1,2}}}]={set={y=true}}}}" 0
3:EVAL "redis.setresp(3) return {1,{map={}},{set={}},{set={[{1,2}]=true}}}" 0
3:EVAL "redis.setresp(3) return {map={a={verbatim_string={string='x\\ny\\0',format='txt'}}}}" 0
3:EVAL "redis.setresp(3) return {{double=1.5},{double=1/0},{double=-1/0},{double=1e300},true,false}" 0
3:EVAL "redis.setresp(3) local t={} for i=1,101 do t[i]={i,i} end return {map=t}" 0
EVAL "local t={} for i=1,101 do t[i]=i end return {t,{t}}" 0
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
SCRIPT LOAD "return 1"
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
EVALSHA_RO e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db x
SCRIPT KILL
SCRIPT HELP
SCRIPT FLUSH
FUNCTION LOAD "#!lua name=lib\nredis.register_function{function_name='f', callback=function(k,a) return a end, flags={'no-writes'}}"
FCALL f 0 x y
FCALL_RO f 0 x
FCALL nosuch 0
FUNCTION LIST
FUNCTION LIST WITHCODE
FUNCTION DUMP
FUNCTION RESTORE bad
FUNCTION STATS
FUNCTION KILL
FUNCTION HELP
FUNCTION DELETE lib
FUNCTION FLUSH
PING
PING "hello there"
AUTH wrong
AUTH default any
CLIENT SETNAME "two words"
CLIENT SETNAME me
CLIENT GETNAME
CLIENT LIST ID 999999999
CLIENT KILL ID 999999999
CLIENT KILL 1.2.3.4:5
CLIENT UNBLOCK 999999999
CLIENT PAUSE 1
CLIENT UNPAUSE
CLIENT NO-EVICT OFF
CLIENT GETREDIR
CLIENT TRACKINGINFO
CLIENT CACHING YES
2:CLIENT TRACKING ON
3:CLIENT TRACKING ON
3:GET n
3:GET h
3:SET n 2
3:PING
3:MSET n 3 other 4
3:PING
3:FLUSHDB
3:PING
3:CLIENT TRACKING OFF
CLIENT REPLY ON
CLIENT HELP
HELLO 9
HELLO
HELLO 3 SETNAME other
CLIENT GETNAME
SET m 1
HSET h a 1
HGETALL h
CONFIG GET maxmemory-s*
HELLO 2
HGETALL h
CONFIG GET maxmemory-s*
2:HELLO 2
3:HELLO 3
RESET
SELECT 0
3:HELLO 3
ACL CAT
ACL CAT geo
ACL WHOAMI
ACL USERS
ACL LIST
ACL SETUSER bob on >secret ~x* +get
ACL SETUSER bob nonsense
ACL GETUSER bob
ACL GETUSER nosuch
ACL DRYRUN bob GET xx
ACL DRYRUN bob SET xx y
ACL LOG RESET
ACL LOG
ACL DELUSER bob
ACL LOAD
ACL SAVE
ACL HELP
COMMAND COUNT
COMMAND INFO get nosuch
COMMAND INFO xgroup
COMMAND DOCS set
COMMAND DOCS config
COMMAND GETKEYS MSET a 1 b 2
COMMAND GETKEYS PING
COMMAND GETKEYSANDFLAGS SET a 1
COMMAND LIST FILTERBY PATTERN xa*
COMMAND HELP
CONFIG GET maxmemory
CONFIG GET no-such-setting
CONFIG SET maxmemory-samples 7
CONFIG SET maxmemory-samples x
CONFIG SET maxmemory-samples 5
CONFIG REWRITE
CONFIG RESETSTAT
CONFIG HELP
DEBUG SLEEP 0
DEBUG HTSTATS 9
DEBUG NOSUCH
DEBUG PROTOCOL string
DEBUG PROTOCOL integer
DEBUG PROTOCOL double
DEBUG PROTOCOL null
DEBUG PROTOCOL array
DEBUG PROTOCOL set
DEBUG PROTOCOL map
DEBUG PROTOCOL verbatim
DEBUG PROTOCOL true
DEBUG PROTOCOL false
2:DEBUG PROTOCOL attrib
2:DEBUG PROTOCOL bignum
2:DEBUG PROTOCOL push
3:DEBUG PROTOCOL push
3:PING
INFO modules
INFO nosuch
INFO keyspace
LATENCY DOCTOR
LATENCY GRAPH nosuch
LATENCY GRAPH
LATENCY HELP
LATENCY HISTOGRAM nosuch
LATENCY HISTORY nosuch
LATENCY LATEST
LATENCY RESET
LOLWUT
LOLWUT VERSION x
MEMORY DOCTOR
MEMORY HELP
MEMORY PURGE
MEMORY USAGE m
MEMORY USAGE nosuch
MODULE LIST
MODULE LOAD /nosuch
MODULE LOADEX /nosuch
MODULE UNLOAD nosuch
MODULE HELP
SLOWLOG GET
SLOWLOG LEN
SLOWLOG RESET
SLOWLOG HELP
REPLICAOF NO ONE
SLAVEOF NO ONE
FAILOVER
SHUTDOWN ABORT
ROLE
SAVE
SWAPDB 0 1
SWAPDB 0 1
SWAPDB 0 99
READONLY
READWRITE
ASKING
CLUSTER INFO
CLUSTER KEYSLOT k
FLUSHALL
`

// On the only node of a cluster.
const clusterLines = `
CLUSTER KEYSLOT somekey
CLUSTER INFO
CLUSTER NODES
CLUSTER MYID
CLUSTER SLOTS
CLUSTER SHARDS
CLUSTER LINKS
CLUSTER COUNTKEYSINSLOT 12539
SET k v
CLUSTER COUNTKEYSINSLOT 12706
CLUSTER GETKEYSINSLOT 12706 10
CLUSTER GETKEYSINSLOT 1 10
DEL k
READONLY
READWRITE
ASKING
MGET a b
SPUBLISH c m
SSUBSCRIBE
CLUSTER COUNT-FAILURE-REPORTS nosuch
CLUSTER REPLICAS nosuch
CLUSTER SLAVES nosuch
CLUSTER REPLICATE nosuch
CLUSTER FORGET nosuch
CLUSTER FAILOVER
CLUSTER MEET nosuch 0
CLUSTER SETSLOT 1 NODE nosuch
CLUSTER DELSLOTS 1
CLUSTER ADDSLOTS 1
CLUSTER ADDSLOTS 1
CLUSTER DELSLOTSRANGE 1 2
CLUSTER ADDSLOTSRANGE 1 2
CLUSTER SET-CONFIG-EPOCH 0
CLUSTER SAVECONFIG
CLUSTER HELP
`

// cliLeftOut are the commands that are not compared, and why.
var cliLeftOut = map[string]string{
	"TIME": "the time", "LASTSAVE": "the time", "XINFO CONSUMERS": "with consumers, how long they have been idle; without, it is compared",
	"CLIENT ID": "a number of each connection", "CLIENT INFO": "each connection has its own",
	"ACL GENPASS": "random", "MEMORY STATS": "bytes that change with each command", "MEMORY MALLOC-STATS": "bytes that change with each command",
	"BGSAVE":       "goes on after its reply, and refuses a second one meanwhile",
	"BGREWRITEAOF": "goes on after its reply, and refuses a second one meanwhile",
	"COMMAND":      "its reply is over the limit of the console",
	"SUBSCRIBE":    "has no end in redis-cli: see TestStreamsPrintAsRedisCLI", "PSUBSCRIBE": "as SUBSCRIBE",
	"SSUBSCRIBE": "as SUBSCRIBE", "MONITOR": "as SUBSCRIBE",
	"UNSUBSCRIBE":  "with the third protocol redis-cli waits for ever; with the second it is compared",
	"PUNSUBSCRIBE": "as UNSUBSCRIBE", "SUNSUBSCRIBE": "as UNSUBSCRIBE",
	"QUIT": "redis-cli ends itself", "SYNC": "refused: it is for servers", "PSYNC": "as SYNC", "REPLCONF": "as SYNC",
	"SCRIPT DEBUG":      "refused: the Lua page is for that",
	"CLUSTER BUMPEPOCH": "the second time it is another number", "CLUSTER FLUSHSLOTS": "would end the cluster of this test",
	"CLUSTER RESET": "gives the node another name",
	// What has nothing but subcommands is compared by those.
	"ACL": "container", "CLIENT": "container", "CLUSTER": "container", "CONFIG": "container", "FUNCTION": "container",
	"LATENCY": "container", "MEMORY": "container",
	"MODULE": "container", "OBJECT": "container", "PUBSUB": "container", "SCRIPT": "container", "SLOWLOG": "container",
	"XGROUP": "container", "XINFO": "container",
}

// cliModes are the ways of redis-cli to print.
var cliModes = []struct {
	name     string
	args     []string
	protocol string
	raw      bool
}{
	{"RESP2", []string{"--no-raw"}, "2", false},
	{"RESP3", []string{"--no-raw", "-3", "--show-pushes", "yes"}, "3", false},
	{"raw", []string{"--raw"}, "2", true},
	{"raw RESP3", []string{"--raw", "-3", "--show-pushes", "yes"}, "3", true},
}

// linesOf are those for a protocol.
func linesOf(text, protocol string) (lines []string) {
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		if rest, ok := strings.CutPrefix(line, protocol+":"); ok {
			line = rest
		} else if len(line) > 1 && line[1] == ':' {
			continue
		}
		lines = append(lines, line)
	}
	return lines
}
