#!/bin/sh
# Which container answers.
printf 'Content-Type: text/plain\r\n\r\n'
hostname
