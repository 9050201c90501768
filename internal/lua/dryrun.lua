-- This is what a dry run puts between a program and Redis. It runs the program, the last of ARGV, with a redis of its own whose calls
-- are traced, and tells what was seen: in a fork by redis.debug, as of a long reply from a fork only the beginning arrives, else
-- by its reply. It is records of fields, each field as length:bytes:
--   D key digest                                     a key before it was first used; digest of its DUMP, "" = no key, "-" = not known
--   K B|A key type ttl size cut line...              a key before its first write and after the run; a line is fields again
--   C n line flags argc reply arg...                 a call; flags are of w (writes) and f (failed), reply is as encode() writes it
--   R reply                                          of the program, as encode() writes it
--   F line message                                   the program raised an error
--   S message                                        it doesn't compile
--   N word number                                    something to note
--   B                                                the server has garbled the arguments
--   X                                                it may reach past the trace, as a user who may do what reaches past the fork
--   Z calls published logged hidden                  the totals; hidden are keys of which nothing is shown
local TRACE=...
local T,R,KEYS,ARGV=TRACE,redis,KEYS,ARGV
local pcall,xpcall,error,type,tostring,pairs,select,unpack,rawget,loadstring=pcall,xpcall,error,type,tostring,pairs,select,unpack,rawget,loadstring
local sub,format,match,upper,lower,floor,ceil,concat,remove=string.sub,string.format,string.match,string.upper,string.lower,math.floor,math.ceil,table.concat,table.remove
local text,mode,sum=remove(ARGV),remove(ARGV),remove(ARGV)

local maxCalls,maxArgs,maxArg,maxSeen,maxWritten,maxLines,maxValue,maxDump=5000,100,1025,1000,200,200,16384,1048576
local room={C=2097152,K=3145728,D=524288}

local n=0
local function fields(...)
  local out={}
  for i=1,select('#',...) do
    local v=tostring((select(i,...)))
    out[i]=#v..':'..v
  end
  return concat(out)
end
local function put(tag,...)
  local s=fields(tag,...)
  s=#s..':'..s
  if room[tag] then
    if #s>room[tag] then return false end
    room[tag]=room[tag]-#s
  end
  n=n+1
  T[n]=s
  return true
end

-- ask runs a command of ours, whose reply is as in RESP2 whatever the program chose.
local resp=2
local function ask(...)
  if resp~=2 then R.setresp(2) end
  local r=R.pcall(...)
  if resp~=2 then R.setresp(resp) end
  if type(r)=='table' and r.err then return nil end
  return r
end

-- encode writes a reply as the server would, cut to a little more than left bytes: $size:bytes +size:bytes -size:bytes :number; _ #t #f ,number; (size:digits
-- =size:bytes [items] {keys and values} <items>, and ! where something was left out.
local function encode(v,left)
  local out,cut={},false
  local function add(s) out[#out+1]=s end
  local function str(mark,s)
    if #s>left then s=sub(s,1,left) cut=true end
    left=left-#s-8
    add(mark) add(#s) add(':') add(s)
    if left<0 then left=0 end
  end
  local walk
  local function items(open,list,close,depth,both)
    add(open)
    if both then
      for k,w in pairs(list) do
        if left==0 then cut=true break end
        walk(k,depth+1)
        if both=='both' then walk(w,depth+1) end
      end
    else
      local i=1
      while list[i]~=nil do
        if left==0 then cut=true break end
        walk(list[i],depth+1)
        i=i+1
      end
    end
    add(close)
  end
  function walk(w,depth)
    local t=type(w)
    if t=='string' then str('$',w)
    elseif t=='number' then
      left=left>8 and left-8 or 0
      add(format(':%.0f;',w<0 and ceil(w) or floor(w)))
    elseif t=='boolean' then add(resp==3 and (w and '#t' or '#f') or w and ':1;' or '_')
    elseif t~='table' then add('_')
    elseif depth>30 then cut=true add('_')
    elseif type(w.err)=='string' then str('-',w.err)
    elseif type(w.ok)=='string' then str('+',w.ok)
    elseif type(w.double)=='number' then add(format(',%.17g;',w.double))
    elseif type(w.big_number)=='string' then str('(',w.big_number)
    elseif type(w.verbatim_string)=='table' then str('=',tostring(w.verbatim_string.string))
    elseif type(w.map)=='table' then items('{',w.map,'}',depth,'both')
    elseif type(w.set)=='table' then items('<',w.set,'>',depth,'keys')
    else items('[',w,']',depth) end
  end
  walk(v,0)
  if cut then add('!') end
  return concat(out)
end

-- state puts what a key holds, in commands whose cost doesn't grow with it.
local function state(which,k)
  local t=ask('TYPE',k)
  t=t and t.ok or '?'
  local lines,cut,left,size={},'',maxValue,0
  local function line(...)
    if #lines>=maxLines or left<=0 then cut='1' return end
    local parts={...}
    for i=1,#parts do
      local v=parts[i]
      if #v>left then v=sub(v,1,left) cut='1' end
      left=left-#v
      parts[i]=v
    end
    lines[#lines+1]=fields(unpack(parts))
  end
  local lengths={string='STRLEN',list='LLEN',set='SCARD',hash='HLEN',zset='ZCARD',stream='XLEN'}
  if lengths[t] then
    size=ask(lengths[t],k) or 0
    local many=maxLines
    if t~='string' then -- few elements may be large ones
      local each=(ask('MEMORY','USAGE',k) or 0)/(size>0 and size or 1)
      if each*many>8388608 then many=floor(8388608/each) end
    end
    local function scan(command,pairwise)
      local cursor,rounds='0',0
      repeat
        local r=ask(command,k,cursor,'COUNT',many)
        if not r then cut='1' return end
        cursor=r[1]
        rounds=rounds+1
        for i=1,#r[2],pairwise and 2 or 1 do line(r[2][i],pairwise and r[2][i+1] or nil) end
      until cursor=='0' or #lines>=many or rounds>=20
    end
    if many<1 then cut='1'
    elseif t=='string' then line(ask('GETRANGE',k,0,maxValue-1) or '')
    elseif t=='list' then
      local r=ask('LRANGE',k,0,many-1) or {}
      for i=1,#r do line(r[i]) end
    elseif t=='set' then scan('SSCAN',false)
    elseif t=='hash' then scan('HSCAN',true)
    elseif t=='zset' then
      local r=ask('ZRANGE',k,0,many-1,'WITHSCORES') or {}
      for i=1,#r,2 do line(r[i],r[i+1]) end
    else
      local r=ask('XRANGE',k,'-','+','COUNT',many) or {}
      for i=1,#r do line(r[i][1],unpack(r[i][2],1,100)) end
    end
    if t=='string' and size>maxValue or t~='string' and size>#lines then cut='1' end
  end
  return put('K',which,k,t,ask('PTTL',k) or -1,size,cut,unpack(lines))
end

-- touch is told of each key before it is used.
local seen,written,changed,nseen,nwritten,hidden={},{},{},0,0,0
local function touch(k,writes)
  if not seen[k] then
    seen[k]=true
    nseen=nseen+1
    local digest='-'
    if nseen<=maxSeen then
      local t=ask('TYPE',k)
      if t and t.ok=='none' then digest=''
      elseif (ask('MEMORY','USAGE',k) or maxDump+1)<=maxDump then
        local dump=ask('DUMP',k)
        if dump then digest=R.sha1hex(dump) end
      end
    end
    put('D',k,digest)
  end
  if writes and not written[k] then
    written[k]=true
    nwritten=nwritten+1
    if nwritten<=maxWritten and #k<=65536 and state('B',k) then changed[#changed+1]=k else hidden=hidden+1 end
  end
end

local flagged={} -- command → whether it writes
local function writes(name)
  name=lower(name)
  if flagged[name]==nil then
    local w=false
    local r=ask('COMMAND','INFO',name)
    if r and r[1] then
      for _,f in pairs(r[1][3]) do if (type(f)=='table' and f.ok or f)=='write' then w=true end end
    end
    flagged[name]=w
  end
  return flagged[name]
end

-- inspect is told of each command before it runs, and says whether it writes.
local function inspect(name,...)
  local r=ask('COMMAND','GETKEYSANDFLAGS',name,...)
  if not r then return writes(name) end
  local any=false
  for i=1,#r do
    local w=false
    for _,f in pairs(r[i][2]) do
      f=type(f)=='table' and f.ok or f
      if f=='RW' or f=='OW' or f=='RM' then w=true end
    end
    touch(r[i][1],w)
    any=any or w
  end
  return any
end

-- where is the line of the program that is being run, seen from the function that calls it.
local function where()
  for level=3,12 do
    local _,at=pcall(error,'',level)
    local line=match(tostring(at),'^user_script:(%d+):')
    if line then return line end
    if match(tostring(at),'^webadmin:') and level>3 then return '0' end
  end
  return '0'
end

-- What these do is not undone with the fork: FLUSHALL overwrites the file of the server, the others talk to other servers.
local harmless={INFO=1,KEYSLOT=1,SLOTS=1,SHARDS=1,NODES=1,MYID=1,LINKS=1,COUNTKEYSINSLOT=1,GETKEYSINSLOT=1,HELP=1}
local function past(name,...)
  if name~='FLUSHALL' and name~='MIGRATE' and name~='CLUSTER' then return false end
  if name=='CLUSTER' and harmless[upper(tostring((...)))] then return false end
  if R.acl_check_cmd then
    local ok,may=pcall(R.acl_check_cmd,name,...)
    if ok and may==false then return false end -- the server refuses it by itself
  end
  return true
end

local calls,published,logged,failedReply,failedLine=0,0,0
local function traced(fn)
  return function(...)
    calls=calls+1
    local name=upper(tostring((...)))
    local line=calls<=maxCalls and where()
    local w=select('#',...)>0 and inspect(...)
    if name=='PUBLISH' or name=='SPUBLISH' then published=published+1 end
    if name=='FLUSHALL' or name=='FLUSHDB' or name=='SWAPDB' then put('N',name,ask('DBSIZE') or 0) end
    local r
    if not past(name,select(2,...)) then r=R.pcall(...) -- redis.call would raise just this
    elseif name=='FLUSHALL' then r=R.pcall('FLUSHDB')
    else r={err='ERR '..name..' is not run in a dry run: what it does is not undone'} end
    local bad=type(r)=='table' and type(r.err)=='string'
    if bad and fn=='call' then failedReply,failedLine=r,line or where() end
    if calls<=maxCalls then
      local args,count={},select('#',...)
      for i=1,count<maxArgs and count or maxArgs do
        local v=select(i,...)
        args[i]=sub(type(v)=='number' and format('%.17g',v) or tostring(v),1,maxArg)
      end
      if not put('C',calls,line,(w and 'w' or '')..(bad and 'f' or ''),count,encode(r,1024),unpack(args)) then maxCalls=calls-1 end
    end
    if bad and fn=='call' then error(r,0) end
    return r
  end
end

local own={}
for k,v in pairs(R) do own[k]=v end
own.call,own.pcall=traced('call'),traced('pcall')
own.setresp=function(v,...)
  R.setresp(v,...)
  resp=v
end
own.log=function() logged=logged+1 end
own.debug=function() end
own.breakpoint=function() return false end

local function report()
  local all=concat(T)
  if not match(mode,'^fork') then return all end
  R.debug(all)
end
if R.sha1hex(concat(KEYS,' ')..' '..concat(ARGV,' ')..' '..text)~=sum then
  put('B')
  return report()
end
if mode=='fork that it reaches past' then
  local ok,may=pcall(R.acl_check_cmd,'FLUSHALL')
  if not ok or may then
    put('X')
    return report()
  end
end
local compiled,message=loadstring(text,'@user_script')
if not compiled then
  put('S',message)
  return report()
end
for i=1,#KEYS do touch(KEYS[i],false) end
-- As it compiles by itself, it is a block that nothing in it can end.
local outer
outer,message=loadstring('local redis=... return function(...) '..text..'\nend','@user_script')
if not outer then
  put('S',message)
  return report()
end
local ok,v=xpcall(outer(own),function(e)
  local line,text='0',e
  if type(e)=='table' then
    text=rawget(e,'err')
    if type(text)~='string' then text='the program raises a table without err, which takes Redis 7.0 down: raise a text, or a table with err' end
    line=e==failedReply and failedLine or where()
  end
  if type(text)~='string' then text=type(e)=='number' and tostring(e) or 'unknown error' end
  put('F',line,text)
end)
for i=1,#changed do state('A',changed[i]) end
put('Z',calls,published,logged,hidden)
if ok then put('R',encode(v,2097152)) end
return report()
