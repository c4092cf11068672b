import boto3
from botocore.config import Config
s3=boto3.client('s3',endpoint_url='http://127.0.0.1:38107',region_name='us-east-1',aws_access_key_id='AK',aws_secret_access_key='SK',config=Config(s3={'addressing_style':'path'}))
