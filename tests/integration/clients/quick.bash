# Read by bash before curl.sh: its waits are short, and its clock goes by them and by nothing else.
unset SECONDS
SECONDS=0
sleep() {
    command sleep 0.02
    SECONDS=$((SECONDS + $1))
}
