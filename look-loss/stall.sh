export HOME=/tmp/ll-weed/s/h DSN="s3://AK:SK@stallbkt/p?endpoint=http://127.0.0.1:38190"
push() { /work/wt/target-look-loss/debug/mediasync push /tmp/ll-weed/s/m env:DSN --state-dir /tmp/ll-weed/s/st "$@"; echo "exit $?"; }
push; head -c 3145728 /dev/urandom > /tmp/ll-weed/s/m/stall.jpg; date +%s; time push; date +%s
