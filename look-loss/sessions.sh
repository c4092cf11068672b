# The sessions that were run by hand, against SeaweedFS 4.48 (start.sh, port 38107; PYTHON=/tmp/venv-s3/bin/python).
MS=/work/wt/target-look-loss/debug/mediasync; cd /tmp/ll-weed
one() { D=$(mktemp -d); mkdir -p $D/m $D/st; export DSN="s3://AK:SK@$1/$2?endpoint=http://127.0.0.1:38107"; }
push() { $MS push $D/m env:DSN --state-dir $D/st "$@" 2>&1; echo "exit $?"; }
versioned() { # a folder becomes a large file in a bucket with versions: every run sends it all, for ever
  /tmp/venv-s3/bin/python vb.py bigver v; one bigver p; mkdir $D/m/v; echo one >$D/m/v/x; echo z >$D/m/z; push
  rm -r $D/m/v; head -c 30000000 /dev/urandom >$D/m/v; for i in 1 2 3; do push --delete; done; }
status_lies() { # a halt is hidden by a run of a part
  /tmp/venv-s3/bin/python vb.py plainbkt; one plainbkt r; mkdir $D/m/sub; for i in `seq 20`; do echo $i >$D/m/$i; done; echo s >$D/m/sub/s; push
  rm $D/m/1*; push --delete; $MS status --state-dir $D/st; push --delete --only sub; $MS status --state-dir $D/st; push --delete; }
"$1"
# stall: python proxy.py & (port 38190), then stall.sh
