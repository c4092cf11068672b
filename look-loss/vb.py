from t import s3
import sys
b=sys.argv[1]; s3.create_bucket(Bucket=b)
if len(sys.argv)>2: s3.put_bucket_versioning(Bucket=b,VersioningConfiguration={'Status':'Enabled'})
