import http.client,datetime,hashlib,hmac
# raw UTF-8 and latin-1 metadata, signed by hand with UNSIGNED-PAYLOAD
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
import sys
def put(key,body,meta):
    r=AWSRequest('PUT','http://127.0.0.1:38107/plainbkt/p/'+key,data=body,headers={k:v for k,v in meta.items()})
    r.context['payload_signing_enabled']=True
    S3SigV4Auth(Credentials('AK','SK'),'s3','us-east-1').add_auth(r)
    c=http.client.HTTPConnection('127.0.0.1',38107); c.putrequest('PUT','/plainbkt/p/'+key)
    for k,v in r.headers.items(): c.putheader(k,v.encode('utf-8'))
    c.putheader('Content-Length',str(len(body))); c.endheaders(body); a=c.getresponse(); print(a.status,a.read()[:200])
def head(key):
    r=AWSRequest('HEAD','http://127.0.0.1:38107/plainbkt/p/'+key); S3SigV4Auth(Credentials('AK','SK'),'s3','us-east-1').add_auth(r)
    c=http.client.HTTPConnection('127.0.0.1',38107); c.request('HEAD','/plainbkt/p/'+key,headers=dict(r.headers.items())); a=c.getresponse(); print(a.status,{k:v for k,v in a.getheaders() if 'meta' in k.lower()})
if sys.argv[1]=='put': put('meta.txt',b'm\n',{'x-amz-meta-author':'Müller ☃','x-amz-meta-two':'a  b','x-amz-meta-empty':'','x-amz-meta-Mixed_Case':'1%20+2'})
head('meta.txt')
