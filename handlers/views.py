from rest_framework.views import APIView


class HandlerView(APIView):
    pass
