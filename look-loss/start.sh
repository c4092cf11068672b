cd /tmp/ll-weed
setsid /tmp/venv-s3/bin/weed -logtostderr=true server -s3 -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir=/tmp/ll-weed/d -s3.config=/tmp/ll-weed/s3.json -volume.max=300 -master.volumeSizeLimitMB=64 -volume.preStopSeconds=0 -s3.port.iceberg=0 -s3.port.lance=0 -master.telemetry=false -master.port=38101 -master.port.grpc=38102 -volume.port=38103 -volume.port.grpc=38104 -filer.port=38105 -filer.port.grpc=38106 -s3.port=38107 -s3.port.grpc=38108 > weed.log 2>&1 < /dev/null &
echo $! > pid
