// Package redisview holds the pages about the Redis server itself: what it says about itself, its slow commands and its clients, its
// biggest keys; its keys; and the console.
package redisview
