#!/bin/sh
# A page whose content comes out of Redis, by the name it has on the Docker network.
printf 'Content-Type: text/plain\r\n\r\n'
printf 'GET greeting\r\nQUIT\r\n' | nc -w 5 redis.hyper 6379
